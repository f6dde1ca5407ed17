"""Scores -> numbers: functions first; direction and unit in line one."""
