"""`polyroute demo`: a simulated fleet answers real prompts, through an outage, and adds up what that took."""
