"""What a user would pick instead. The modules that run it import nothing of this project: its cold start is its own.

Left out of every backtester but ours, because not all of them can do it: the breakout's stop inside the bar, its time
stop and cool-down, slippage, funding, and mark prices. What is left is the channel with fake breakouts, minimum hold
and exit at the middle for BTC, momentum with its trend filter for ETH and SOL, fixed weights, fees, fills at the next
open, and the dead-band.
"""

LEFT_OUT = "without stop, time stop, cool-down, slippage, funding and mark prices"
