"""What people read: the HTML page, its picture and the terminal table."""
