"""From the bytes of one kind of image file to an array [channels, height, width] in 0..1, one file for each kind."""
