"""Arms of a training compared over seeds: runs, statistics, report."""
