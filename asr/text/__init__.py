"""What was said as text: where it may break, where sentences end, what a correction does to words. Pure."""
