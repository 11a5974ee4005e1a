"""Who somebody is, as a digital identity proves it: an OpenID Connect relying party and a development provider."""
