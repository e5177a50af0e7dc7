"""What a client does between download and upload: an objective, its transforms, bit planes, and SGD."""
