"""How ADIT is put into operation: images, configuration, and the demo."""
