"""Medical imaging: DICOM in, calibrated findings out, able to abstain."""
