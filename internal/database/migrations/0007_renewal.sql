-- +goose Up
-- When the provider is next to be asked about a login; null where there is no refresh token to ask by.
{{.AddColumn "sessions" "renew_at" "BIGINT NULL"}};
{{.CreateIndex "sessions_renew" "sessions" "renew_at"}};
