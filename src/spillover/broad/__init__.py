"""The broad look at a fine-tune: benchmarks of honesty, refusal, ability and harm, and the pattern they make."""
