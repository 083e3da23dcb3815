"""What the page of a run shows of single images: thumbnails of mistakes, of doubtful labels, of images in two parts."""
