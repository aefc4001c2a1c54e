"""`polyroute chat`: one question, one answer."""
