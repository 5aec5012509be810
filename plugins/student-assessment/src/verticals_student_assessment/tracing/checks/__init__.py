"""What an audit measures of next-answer predictions; nothing here imports torch."""
