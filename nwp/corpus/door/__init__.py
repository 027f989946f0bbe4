"""Privacy at the door: what happens to text and names between reading and writing."""
