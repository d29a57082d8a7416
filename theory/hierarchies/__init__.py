"""Tasks whose invariances are built in: sparse hierarchies of random rules, and the detection of a scale.

Pure NumPy: what a datum is, how many there are, how one is moved without a change of its label. Nets that learn them
are in `empirical`.
"""

from theory.hierarchies.scale_detection import ScaleDetection
from theory.hierarchies.sparse_hierarchy import Derivations, SparseHierarchy
from theory.hierarchies.two_points import TwoPoints

__all__ = ["Derivations", "ScaleDetection", "SparseHierarchy", "TwoPoints"]
