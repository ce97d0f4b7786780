import type { RequestPatch } from '../schemas/arm';
import type { PatchPart, Protocol, ProtocolCall } from './protocols/protocol';
import type { Pauses } from './pauses';
import type { ModelTable, ModelTarget } from './upstreams/model-table';
import { UpstreamError } from './upstreams/upstream';

/** Where a request goes that a policy does not answer itself. */
export interface Forwarding {
  /** Under the policy's patch. */
  readonly call: ProtocolCall;
  readonly targets: readonly [ModelTarget, ...ModelTarget[]];
}

/**
 * Whether a request in this protocol can go out under a patch: the protocol can say what the patch changes, and there is an upstream of the
 * patch's model that speaks it, which nobody has paused. What cannot is masked before anything is drawn.
 */
export function createForwards(
  protocol: Protocol,
  upstreams: ModelTable,
  pauses: Pauses,
): (patch: RequestPatch) => boolean {
  return (patch) =>
    pauses.find('model', patch.model) === undefined &&
    partsOf(patch).every((part) => protocol.patching?.parts.has(part) === true) &&
    (upstreams.targets(patch.model) ?? []).some(({ upstream }) =>
      upstream.protocols.includes(protocol.name),
    );
}

/** @param patch one that `createForwards` lets through. */
export function forwardCall(
  protocol: Protocol,
  upstreams: ModelTable,
  call: ProtocolCall,
  patch: RequestPatch,
): Forwarding {
  const targets = upstreams.targets(patch.model);
  if (targets === null) {
    throw new UpstreamError('unreachable', 'a policy’s arm names a model without upstreams');
  }
  return { targets, call: protocol.patching?.patch(call, patch) ?? call };
}

function partsOf(patch: RequestPatch): PatchPart[] {
  return Object.entries(patch).flatMap(([part, value]) =>
    part === 'model' || value === undefined ? [] : [part as PatchPart],
  );
}
