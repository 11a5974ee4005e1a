"""Notices to holders: contacts, who is told of what and when, letters by mail and text message, bounces."""
