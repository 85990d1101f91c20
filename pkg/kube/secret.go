package kube

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GossipSecret is the name of the Secret that holds the keys of the speakers' gossip, one in each entry. All keys are
// accepted, and the one whose entry has the first name is used, byte by byte: of key-1, key-2 and key-10 that is key-1.
//
// So a key is exchanged in three steps, each of which waits until all speakers have seen the one before: the new key is
// added as key-2; the two entries swap their keys; key-2, which is the old key by then, is removed.
const GossipSecret = "lanlord-gossip"

const (
	firstKey = "key-1"
	// keyLength is in bytes: as much as AES-256 takes.
	keyLength = 32
)

// EnsureGossipSecret creates the Secret with one random key if there is none. It never changes one that is there, so that
// keys can be rotated by hand.
func EnsureGossipSecret(ctx context.Context, client Client, namespace string, log *slog.Logger) error {
	key := make([]byte, keyLength)
	rand.Read(key) // never fails
	// Creating it without looking first needs no right to read Secrets.
	_, err := client.Do(ctx, Request{Verb: VerbCreate, Resource: secrets, Namespace: namespace, Object: &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: GossipSecret, Namespace: namespace},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{firstKey: key},
	}})
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil
	case err != nil:
		return fmt.Errorf("create the Secret %s/%s: %w", namespace, GossipSecret, err)
	}
	log.Info("gossip key created", "secret", namespace+"/"+GossipSecret)
	return nil
}
