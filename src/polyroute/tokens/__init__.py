"""How many tokens a prompt is: counted where a vocabulary is there, estimated elsewhere."""

from polyroute.tokens.counting import Count, count, measure
from polyroute.tokens.prompts import estimate_prompt, estimate_text

__all__ = ["Count", "count", "estimate_prompt", "estimate_text", "measure"]
