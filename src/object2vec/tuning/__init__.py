"""Tuning: trainings with other hyperparameters, one after another, to find the best ones.

==============  ==================================================================================
`space`         which hyperparameters, in which ranges
`objective`     what a trial is judged by
`trials`        what was tried, as files: the only memory there is
`search`        which values to try next, and when a trial has no prospects
`parents`       what earlier studies know
`tuner`         tries, several at once, and goes on where it was killed
`processes`     a trial as a process of ``object2vec train``
`report`        the table and the page
==============  ==================================================================================
"""
