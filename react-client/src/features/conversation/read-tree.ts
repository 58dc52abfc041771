import { readJsonContainer } from '../../lib/values/read-json';
import type { ValueTree } from '../../lib/values/value-tree';
import type { Payload } from './payload';

/** Reads the values of a message; `null` where it has none. */
export type ReadTree = (payload: Payload) => ValueTree | null;

/** Objects and arrays in JSON. */
export const JSON_ONLY: ReadTree = (payload) =>
  payload.type === 'text' ? readJsonContainer(payload.text) : null;
