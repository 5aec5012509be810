"""The solution student-risk."""
