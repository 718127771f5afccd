"""The generated demo data set: animated people rendered to crops in the MARS layout, with their true joints."""
