"""How bytes are cut into events: pure, however they arrive."""
