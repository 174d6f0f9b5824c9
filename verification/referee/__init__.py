"""One ruler for curvcore and its peers: cases of known truth, each library in its environment."""
