"""A library of indicators: what a bar series says about itself, each with unit, range, source and exact window.

`catalogue.INDICATORS` is the list, `matrix.matrix` and `matrix.latest` compute it, `ranges.validate` judges a row,
`statistics` describes and scales columns. Nothing here imports TA-Lib until a candle pattern is computed.
"""
