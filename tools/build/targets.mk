# What `sam build` runs, from the root of the project (WorkingDirectory in template.yaml), one target a resource.
# SAM tells a makefile build nothing about the architecture, but it resolves the resource's metadata first: ContextPath
# there ends in the parameter Architecture, so the makefile that includes this one knows.

BUILD = python3.13 -Es -m tools.build.build
TO = --architecture $(ARCHITECTURE) --artifacts "$(ARTIFACTS_DIR)"

build-WhopChatLayer:
	@$(BUILD) layer $(TO)

build-PillowLayer:
	@$(BUILD) packages $(TO) --source layers/pillow

build-MintTokenFunction:
	@$(BUILD) function $(TO) --source functions/mint_token

build-WhopOauthFunction:
	@$(BUILD) function $(TO) --source functions/whop_oauth

build-OnSignupFunction:
	@$(BUILD) function $(TO) --source functions/on_signup

build-SyncUserFunction:
	@$(BUILD) function $(TO) --source functions/sync_user

build-ReconcileFunction:
	@$(BUILD) function $(TO) --source functions/reconcile

build-CheckReadinessFunction:
	@$(BUILD) function $(TO) --source functions/check_readiness

build-SyncAvatarFunction:
	@$(BUILD) function $(TO) --source functions/sync_avatar

build-FetchPictureFunction:
	@$(BUILD) function $(TO) --source functions/fetch_picture
