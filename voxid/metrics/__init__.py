"""Scores -> numbers: functions first; direction and unit in line one."""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
