"""De-identification after DICOM PS3.15 Annex E. Until it is here, jobs with pseudonyms are refused."""
