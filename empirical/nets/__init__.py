"""The nets that are trained and measured: architectures by name, stripe nets, weights, nets of one's own."""
