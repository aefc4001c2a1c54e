"""Programs written for other people's clients, routed in this process: `Router.openai_transport`."""
