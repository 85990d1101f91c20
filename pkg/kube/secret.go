package kube

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GossipSecret is the name of the Secret with the keys of the speakers' gossip, one key in each entry. The speakers
// accept all keys. They encrypt with the key whose entry has the first name in the order of bytes: key-1 comes before
// key-10 and key-2.
//
// The exchange of a key takes three steps, and each step waits until all speakers have seen the step before: add the
// new key as key-2; swap the keys of the two entries; remove key-2, which then holds the old key.
const GossipSecret = "lanlord-gossip"

const (
	firstKey = "key-1"
	// keyLength is the length of an AES-256 key in bytes.
	keyLength = 32
	// secretInterval is the interval of the controller's attempts to create the Secret. An attempt that finds the
	// Secret costs one small request, and needs no right to read Secrets.
	secretInterval = 30 * time.Second
	// secretLimit is the time limit of one attempt.
	secretLimit = 10 * time.Second
)

// KeepGossipSecret creates the Secret again after each deletion, until ctx ends, and then returns nil. Only the leading
// controller calls KeepGossipSecret.
func KeepGossipSecret(ctx context.Context, client Client, namespace string, log *slog.Logger) error {
	return keepSecret(ctx, "gossip key", log, func(ctx context.Context) error {
		return EnsureGossipSecret(ctx, client, namespace, log)
	})
}

// keepSecret calls ensure every secretInterval until ctx ends. key names the key in the log.
func keepSecret(ctx context.Context, key string, log *slog.Logger, ensure func(context.Context) error) error {
	for failing := false; ; {
		sleep(ctx, secretInterval)
		if ctx.Err() != nil {
			return nil
		}
		attempt, cancel := context.WithTimeout(ctx, secretLimit)
		err := ensure(attempt)
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			log.Warn("it is not known whether the "+key+" exists; trying again", "err", err)
		}
		failing = err != nil
	}
}

// EnsureGossipSecret creates the Secret with one random key if there is none. It never changes an existing Secret, so
// that people can rotate keys by hand.
func EnsureGossipSecret(ctx context.Context, client Client, namespace string, log *slog.Logger) error {
	return ensureSecret(ctx, client, namespace, GossipSecret, "gossip key", log)
}

// ensureSecret creates a Secret with one random key if there is none. what names the key in the log.
func ensureSecret(ctx context.Context, client Client, namespace, name, what string, log *slog.Logger) error {
	key := make([]byte, keyLength)
	rand.Read(key) // never fails
	// A create request without a read before needs no right to read Secrets.
	_, err := client.Do(ctx, Request{Verb: VerbCreate, Resource: secrets, Namespace: namespace, Object: &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{firstKey: key},
	}})
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil
	case err != nil:
		return fmt.Errorf("create the Secret %s/%s: %w", namespace, name, err)
	}
	log.Info(what+" created", "secret", namespace+"/"+name)
	return nil
}
