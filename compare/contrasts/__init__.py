"""The simple model against measured nets: exponents, ratios, scales, correlations, the verdict; hierarchies."""
