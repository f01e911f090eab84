"""What happens without being asked, one file per job."""
