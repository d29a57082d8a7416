"""The simple model's ingredients: tasks, the net, losses, observables, and a flow's configuration."""
