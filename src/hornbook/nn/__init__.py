"""Pure tensor code. One letter a dimension, the same letter everywhere:

B rows   T tokens   D model width   H query heads   G key/value heads   K head width
V vocabulary   C cache capacity   F feed-forward width   N layers
"""
