"""Who calls and whose safes these are: accounts, logins, sessions, systems, administrations, mandates, safes."""
