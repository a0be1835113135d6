// Loaded before a test: gives it fuzz-properties.mjs for fast-check, whose properties run for a time. See scripts/fuzz.mjs.
import { register } from 'node:module';

register('./fuzz-hooks.mjs', import.meta.url);
