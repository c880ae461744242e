"""The pytest plugin for applications: a production-shaped database per test.

| module        | what                                                                        |
|---------------|-----------------------------------------------------------------------------|
| `plugin`      | options, marks and fixtures; imports nothing of the rest before it is asked |
| `lease`       | the process under test: asks for a stead of its own, and holds on to it     |
| `host`        | the process beside it: brings the stead up, and removes it without fail     |
| `template`    | one migrated database, and its copies                                       |
| `fresh`       | the database of one test                                                    |
| `logins`      | who came into it, by the server's own log                                   |
| `loops`       | an engine that closes its connections in the loop that opened them          |
"""
