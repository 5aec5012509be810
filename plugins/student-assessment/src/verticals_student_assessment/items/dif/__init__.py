"""Differential item functioning from counts: numpy only, so that an auditor can do it again."""
