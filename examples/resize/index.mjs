/** Makes a JPEG narrower, keeping its proportions: each new pixel is the mean of the old ones that it covers. */
import jpeg from "jpeg-js";

const QUALITY = 85;
const CHANNELS = 4;

/** event: {"image": base64 of a JPEG, "width": pixels} */
export const handler = async ({ image, width }) => {
  if (typeof image !== "string" || !Number.isInteger(width) || width < 1)
    throw new TypeError('The event must be {"image": base64 of a JPEG, "width": a number of pixels}');
  const source = jpeg.decode(Buffer.from(image, "base64"), {
    maxResolutionInMP: 25,
    maxMemoryUsageInMB: 256,
  });
  if (width > source.width) throw new RangeError(`The image is only ${source.width} pixels wide`);
  const height = Math.max(1, Math.round((source.height * width) / source.width));
  const small = jpeg.encode({ data: shrink(source, width, height), width, height }, QUALITY);
  console.log(`${source.width} x ${source.height} -> ${width} x ${height}`);
  return { image: small.data.toString("base64"), width, height };
};

function shrink(source, width, height) {
  const data = Buffer.alloc(width * height * CHANNELS);
  for (let y = 0; y < height; y += 1) {
    const [top, bottom] = covered(y, height, source.height);
    for (let x = 0; x < width; x += 1) {
      const [left, right] = covered(x, width, source.width);
      const count = (bottom - top) * (right - left);
      for (let channel = 0; channel < CHANNELS; channel += 1) {
        let sum = 0;
        for (let row = top; row < bottom; row += 1)
          for (let column = left; column < right; column += 1)
            sum += source.data[(row * source.width + column) * CHANNELS + channel];
        data[(y * width + x) * CHANNELS + channel] = Math.round(sum / count);
      }
    }
  }
  return data;
}

/** Which old rows or columns lie under the new one, first and one past the last; at least one. */
function covered(index, count, oldCount) {
  const first = Math.floor((index * oldCount) / count);
  return [first, Math.max(first + 1, Math.floor(((index + 1) * oldCount) / count))];
}
