"""Weekly and monthly reviews (SOP §7, §8): held against a replay, decided on by people, told when overdue."""
