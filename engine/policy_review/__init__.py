"""What a change of the policies does, for those who must agree to it: `policy diff`, `policy replay`, `policy review`.

Models come from files, bundles or git revisions; what they would have done, from a recorded or rehearsed history.
"""

from engine.policy_review.diff import DiffReport, diff_report
from engine.policy_review.replay import ReplayReport, replay_report
from engine.policy_review.review import Review, review_page
from engine.policy_review.text import diff_text, policy_replay_text, review_text

__all__ = [
    "DiffReport",
    "ReplayReport",
    "Review",
    "diff_report",
    "diff_text",
    "policy_replay_text",
    "replay_report",
    "review_page",
    "review_text",
]
