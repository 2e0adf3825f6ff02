package lodge

import (
	"context"

	"lodge/internal/objects"
	"lodge/internal/objects/s3"
)

// bucket is where files are kept, with its end.
type bucket struct {
	objects.Bucket
	close func() error
}

func openBucket(ctx context.Context, p *platform) (*bucket, error) {
	if p.cfg.Objects.Driver == "s3" {
		c := p.cfg.Objects.S3
		store, err := s3.Open(ctx, s3.Config{
			Endpoint: c.Endpoint, Bucket: c.Bucket, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey, UseTLS: c.UseTLS, CAFile: c.CAFile,
		}, p.log)
		if err != nil {
			return nil, err
		}
		return &bucket{store, func() error { return nil }}, nil
	}
	files, err := objects.OpenFiles(p.folder.path(objectsDir), p.log)
	if err != nil {
		return nil, err
	}
	return &bucket{files, files.Close}, nil
}
