"""The whole path on this machine: deploy, sign up, sign in, get a chat token, chat, and link a Whop account.

`steps` are the steps in order, `chat_app` is the team's app that they drive, `own_account` is the browser that links an
account, `console` prints them. The real template runs on the emulator, with the Whop simulator behind it: no Docker, no
AWS account, no Whop account.
"""
