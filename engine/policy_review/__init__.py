"""What a change of the policies does, for those who must agree to it: `policy diff`, `policy replay`, `policy review`.

Models come from files, bundles or git revisions; what they would have done, from a recorded or rehearsed history.

- `diff.diff_report`, `replay.replay_report`, `review.review_page`: the answers, each with `to_json`
- `text`: the answers in the terminal; `page`: the review as Markdown
"""
